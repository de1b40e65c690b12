// The list of who wants to know.
#include "process_end.h"

#include <windows.h>

namespace zerio {
namespace {

// Without a destructor, because the end of the process comes after that of static objects.
SRWLOCK lock = SRWLOCK_INIT;
AtProcessEnd* first = nullptr;

}  // namespace

AtProcessEnd::AtProcessEnd() {
  AcquireSRWLockExclusive(&lock);
  next_ = first;
  first = this;
  ReleaseSRWLockExclusive(&lock);
}

AtProcessEnd::~AtProcessEnd() {
  AcquireSRWLockExclusive(&lock);
  AtProcessEnd** link = &first;
  while (*link != this) link = &(*link)->next_;
  *link = next_;
  ReleaseSRWLockExclusive(&lock);
}

void AtProcessEnd::run() {
  // A thread that the system has ended may have had the lock.
  if (TryAcquireSRWLockExclusive(&lock) == FALSE) return;
  for (AtProcessEnd* one = first; one != nullptr; one = one->next_) one->process_ends();
  ReleaseSRWLockExclusive(&lock);
}

}  // namespace zerio
