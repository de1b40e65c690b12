// LoopWait on Linux: an epoll set of two epoll sets, the engine's and libuv's.
#include <sys/epoll.h>
#include <unistd.h>

#include <new>

#include "loop_wait.h"

namespace zerio {
namespace {

class EpollWait final : public LoopWait {
 public:
  explicit EpollWait(int epoll) : epoll_(epoll) {}
  ~EpollWait() override { ::close(epoll_); }
  EpollWait(const EpollWait&) = delete;
  EpollWait& operator=(const EpollWait&) = delete;

  bool add(int fd, bool engine) {
    epoll_event event = {EPOLLIN, {.u32 = engine ? 1U : 0U}};
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
  }

  Ready wait(int timeout_ms) override {
    epoll_event events[2] = {};
    const int count = ::epoll_wait(epoll_, events, 2, timeout_ms);
    Ready ready;
    for (int i = 0; i < count; ++i) (events[i].data.u32 == 1 ? ready.engine : ready.others) = true;
    return ready;
  }

 private:
  int epoll_;
};

}  // namespace

std::unique_ptr<LoopWait> LoopWait::create(uv_loop_t* loop, int engine_handle) {
  // Without one the loop returns to libuv more often, which is no error.
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return nullptr;
  std::unique_ptr<EpollWait> wait(new (std::nothrow) EpollWait(epoll));
  if (wait == nullptr) ::close(epoll);
  if (wait == nullptr || !wait->add(engine_handle, true) || !wait->add(uv_backend_fd(loop), false)) return nullptr;
  return wait;
}

}  // namespace zerio
