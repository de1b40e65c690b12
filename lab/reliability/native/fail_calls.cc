// Preloaded into Node.js: lets one system call or allocation of the addon fail, and leaves everybody else's alone.
//
//   FAIL_CALL    which, for instance sendto or operator_new; none: only count
//   FAIL_NTH     the how manyeth call of the addon, from 1
//   FAIL_ERRNO   the errno value
//   FAIL_REPORT  a file for the counts of all calls, written at exit, and whether the chosen one came to be
#include <dlfcn.h>
#include <link.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

enum Call {
  kSocket,
  kBind,
  kListen,
  kAccept,
  kConnect,
  kEpollCreate,
  kEpollCtl,
  kEpollWait,
  kReceive,
  kSend,
  kSendMessage,
  kSetOption,
  kGetOption,
  kGetName,
  kShutdown,
  kClose,
  kAdvise,
  kMap,
  kPoll,
  kGetLimit,
  kUringSetup,
  kUringEnter,
  kUringRegister,
  kNew,
  kCalls
};
constexpr const char* kNames[kCalls] = {
    "socket",   "bind",   "listen",  "accept4",    "connect",        "epoll_create1",  "epoll_ctl",         "epoll_wait",
    "recvfrom", "sendto", "sendmsg", "setsockopt", "getsockopt",     "getsockname",    "shutdown",          "close",
    "madvise",  "mmap",   "poll",    "getrlimit",  "io_uring_setup", "io_uring_enter", "io_uring_register", "operator_new"};

struct State {
  int call = -1;
  long nth = 0;
  int error = 0;
  const char* report = nullptr;
  std::atomic<long> counts[kCalls] = {};
  std::atomic<bool> failed = false;

  State() {
    const char* const name = std::getenv("FAIL_CALL");
    for (int i = 0; name != nullptr && i < kCalls; ++i) {
      if (std::strcmp(name, kNames[i]) == 0) call = i;
    }
    const char* const number = std::getenv("FAIL_NTH");
    const char* const code = std::getenv("FAIL_ERRNO");
    nth = number == nullptr ? 0 : std::strtol(number, nullptr, 10);
    error = code == nullptr ? 0 : static_cast<int>(std::strtol(code, nullptr, 10));
    report = std::getenv("FAIL_REPORT");
  }
  ~State() {
    if (report == nullptr) return;
    std::FILE* const file = std::fopen(report, "w");
    if (file == nullptr) return;
    std::fprintf(file, "{\"failed\": %s", failed ? "true" : "false");
    for (int i = 0; i < kCalls; ++i) std::fprintf(file, ", \"%s\": %ld", kNames[i], counts[i].load());
    std::fprintf(file, "}\n");
    std::fclose(file);
  }
};

State& state() {
  static State it;
  return it;
}

// The file that a call comes from: asked for each allocation of Node.js too, so it must be fast (dladdr is not).
const char* file_of(void* caller) {
  dl_find_object found = {};
  if (_dl_find_object(caller, &found) != 0 || found.dlfo_link_map == nullptr) return "";
  const char* const path = found.dlfo_link_map->l_name;
  const char* const slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

bool is_addon(const char* file) { return std::strcmp(file, "zerio.node") == 0; }

// Whether the C++ library allocates for the addon: the first caller outside of that library decides.
bool for_addon() {
  bool found = false;
  const auto look = [](_Unwind_Context* frame, void* out) {
    const char* const file = file_of(reinterpret_cast<void*>(_Unwind_GetIP(frame)));
    if (std::strncmp(file, "libstdc++", 9) == 0 || std::strcmp(file, "fail_calls.so") == 0) return _URC_NO_REASON;
    *static_cast<bool*>(out) = is_addon(file);
    return _URC_END_OF_STACK;
  };
  _Unwind_Backtrace(look, &found);
  return found;
}

bool fails(Call call, void* caller) {
  const char* const file = file_of(caller);
  const bool library = call == kNew && std::strncmp(file, "libstdc++", 9) == 0;
  if (!(library ? for_addon() : is_addon(file))) return false;
  State& it = state();
  const long number = ++it.counts[call];
  if (it.call != call || number != it.nth) return false;
  it.failed = true;
  errno = it.error;
  return true;
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)
#define REAL(name) static auto* const next = real<decltype(::name)>(#name)

EXPORT int socket(int domain, int type, int protocol) noexcept {
  REAL(socket);
  return fails(kSocket, CALLER) ? -1 : next(domain, type, protocol);
}
EXPORT int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  REAL(bind);
  return fails(kBind, CALLER) ? -1 : next(fd, address, size);
}
EXPORT int listen(int fd, int backlog) noexcept {
  REAL(listen);
  return fails(kListen, CALLER) ? -1 : next(fd, backlog);
}
EXPORT int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  REAL(accept4);
  return fails(kAccept, CALLER) ? -1 : next(fd, address, size, flags);
}
EXPORT int connect(int fd, const sockaddr* address, socklen_t size) {
  REAL(connect);
  return fails(kConnect, CALLER) ? -1 : next(fd, address, size);
}
EXPORT int epoll_create1(int flags) noexcept {
  REAL(epoll_create1);
  return fails(kEpollCreate, CALLER) ? -1 : next(flags);
}
EXPORT int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  REAL(epoll_ctl);
  return fails(kEpollCtl, CALLER) ? -1 : next(epoll, operation, fd, event);
}
EXPORT int epoll_wait(int epoll, epoll_event* events, int max, int timeout) {
  REAL(epoll_wait);
  return fails(kEpollWait, CALLER) ? -1 : next(epoll, events, max, timeout);
}
EXPORT ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  REAL(sendmsg);
  return fails(kSendMessage, CALLER) ? -1 : next(fd, message, flags);
}
EXPORT int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  REAL(setsockopt);
  return fails(kSetOption, CALLER) ? -1 : next(fd, level, name, value, size);
}
EXPORT int getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept {
  REAL(getsockopt);
  return fails(kGetOption, CALLER) ? -1 : next(fd, level, name, value, size);
}
EXPORT int getsockname(int fd, sockaddr* address, socklen_t* size) noexcept {
  REAL(getsockname);
  return fails(kGetName, CALLER) ? -1 : next(fd, address, size);
}
EXPORT int shutdown(int fd, int how) noexcept {
  REAL(shutdown);
  return fails(kShutdown, CALLER) ? -1 : next(fd, how);
}
// Linux closes the descriptor whatever it answers.
EXPORT int close(int fd) {
  REAL(close);
  const bool failed = fails(kClose, CALLER);
  const int error = errno;
  const int result = next(fd);
  if (!failed) return result;
  errno = error;
  return -1;
}
EXPORT int madvise(void* at, size_t size, int advice) noexcept {
  REAL(madvise);
  return fails(kAdvise, CALLER) ? -1 : next(at, size, advice);
}
EXPORT void* mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  REAL(mmap);
  return fails(kMap, CALLER) ? MAP_FAILED : next(at, size, protection, flags, fd, offset);
}
// What node-gyp's settings for large files make of mmap and getrlimit.
EXPORT void* mmap64(void* at, size_t size, int protection, int flags, int fd, off64_t offset) noexcept {
  REAL(mmap64);
  return fails(kMap, CALLER) ? MAP_FAILED : next(at, size, protection, flags, fd, offset);
}
EXPORT int getrlimit64(__rlimit_resource_t what, rlimit64* limit) noexcept {
  REAL(getrlimit64);
  return fails(kGetLimit, CALLER) ? -1 : next(what, limit);
}
EXPORT int poll(pollfd* descriptors, nfds_t count, int timeout) {
  REAL(poll);
  return fails(kPoll, CALLER) ? -1 : next(descriptors, count, timeout);
}
EXPORT int getrlimit(__rlimit_resource_t what, rlimit* limit) noexcept {
  REAL(getrlimit);
  return fails(kGetLimit, CALLER) ? -1 : next(what, limit);
}
EXPORT long syscall(long number, ...) noexcept {
  REAL(syscall);
  va_list list;
  va_start(list, number);
  long values[6];
  for (long& value : values) value = va_arg(list, long);
  va_end(list);
  void* const caller = CALLER;
  if (number == SYS_recvfrom && fails(kReceive, caller)) return -1;
  if (number == SYS_sendto && fails(kSend, caller)) return -1;
  if (number == SYS_io_uring_setup && fails(kUringSetup, caller)) return -1;
  if (number == SYS_io_uring_enter && fails(kUringEnter, caller)) return -1;
  if (number == SYS_io_uring_register && fails(kUringRegister, caller)) return -1;
  return next(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

void* operator new(size_t size) {
  if (fails(kNew, CALLER)) throw std::bad_alloc();
  void* const memory = std::malloc(size > 0 ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
