// <sys/event.h> as macOS and FreeBSD have it, as far as addon/io/bsd/ uses it: for tests of that backend on Linux (kqueue.cc).
#pragma once

#include <stdint.h>
#include <time.h>

struct kevent {
  uintptr_t ident;
  short filter;
  unsigned short flags;
  unsigned int fflags;
  int64_t data;
  void* udata;
};

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_CLEAR 0x0020
#define EV_RECEIPT 0x0040
#define EV_ERROR 0x4000
#define EV_EOF 0x8000

#define EV_SET(event, ident_, filter_, flags_, fflags_, data_, udata_) \
  (*(event) = {(ident_), (filter_), (flags_), (fflags_), (data_), (udata_)})

extern "C" int kqueue(void);
extern "C" int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events, int event_count,
                      const struct timespec* timeout);
