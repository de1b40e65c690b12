// LoopDriver for hosts without libuv (Bun, Deno): a thread waits in the kernel, and wakes the host with a thread-safe function of
// Node-API.
//
// The loop's thread arms what the thread waits for, each for one wake-up (EPOLLONESHOT), with one system call and without waking
// the thread. There are five descriptors: the engine's wait handle, two timers, of deadlines and of a loop that does not sleep,
// one that other threads write to, and one that ends the thread. At most one call of the thread-safe function is under way.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <thread>

#include "../engine/engine.h"
#include "loop_driver.h"

namespace zerio {
namespace {

class Descriptor {
 public:
  Descriptor() = default;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool open(int fd) {
    fd_ = fd;
    return fd >= 0;
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

class PortableDriver final : public LoopDriver {
 public:
  int init(napi_env env, Io& io, Driven& loop) override {
    env_ = env;
    loop_ = &loop;
    wait_handle_ = io.wait_handle();
    if (!watch_.open(::epoll_create1(EPOLL_CLOEXEC)) || !ending_.open(::eventfd(0, EFD_CLOEXEC)) ||
        !soon_.open(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) ||
        !woken_.open(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) ||
        !timer_.open(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) || !add(ending_.get(), EPOLLIN) ||
        !add(wait_handle_, EPOLLONESHOT) || !add(soon_.get(), EPOLLONESHOT) || !add(timer_.get(), EPOLLONESHOT) ||
        !add(woken_.get(), EPOLLONESHOT)) {
      return -errno;
    }
    if (!make_function()) return -ENOMEM;
    try {
      thread_ = std::thread([this] { wait(); });
    } catch (const std::system_error& error) {
      napi_release_threadsafe_function(function_, napi_tsfn_abort);
      return -error.code().value();
    }
    napi_add_env_cleanup_hook(env_, on_end, this);
    return 0;
  }

  void start(bool wakes) override {
    wakes_ = wakes;
    running_ = true;
    apply_reference();
    rest();
  }

  void stop() override {
    running_ = false;
    idle_ = false;
    set_due(Engine::kNothingDue);
    apply_reference();
  }

  void start_idle() override {
    idle_ = true;
    if (!in_call_) rest();
  }

  void stop_idle() override { idle_ = false; }

  void set_due(uint64_t due_ns) override {
    // In whole milliseconds, as libuv has them, so that deadlines of many connections are one wake-up.
    if (due_ns != Engine::kNothingDue) due_ns = (due_ns + kMillisecondNs - 1) / kMillisecondNs * kMillisecondNs;
    if (due_ns == due_ns_) return;
    due_ns_ = due_ns;
    set_timer(timer_.get(), due_ns == Engine::kNothingDue ? 0 : std::max(due_ns, uint64_t{1}), TFD_TIMER_ABSTIME);
    if (due_ns != Engine::kNothingDue) arm(timer_.get());
  }

  bool set_alarm(uint64_t /*due_ns*/) override { return false; }

  // The host does not say.
  bool others_wait() override { return false; }

  void set_referenced(bool referenced) override {
    referenced_ = referenced;
    apply_reference();
  }

  [[nodiscard]] bool plans_after_calls() const override { return true; }

  int open_waker() override {
    arm(woken_.get());
    return 0;
  }

  void wake() override {
    const uint64_t one = 1;
    // Fails only when the counter is full, and then it is readable.
    (void)!::write(woken_.get(), &one, sizeof one);
  }

  void close() override {
    running_ = false;
    const uint64_t one = 1;
    // Cannot fail: the counter of an eventfd takes it.
    (void)!::write(ending_.get(), &one, sizeof(one));
    thread_.join();
    link_->driver = nullptr;
    napi_remove_env_cleanup_hook(env_, on_end, this);
    napi_release_threadsafe_function(function_, napi_tsfn_abort);
    // Whoever called serve() still needs this.
    if (!in_call_) loop_->on_driver_closed();
  }

 private:
  static constexpr uint64_t kSecondNs = 1'000'000'000;
  // How long a loop that does not sleep leaves its thread to others between two calls. The host goes on with a thread-safe
  // function that is called again before it has looked at anything else.
  static constexpr uint64_t kGapNs = 20'000;
  // What a call of the thread-safe function finds, which may come after the driver has gone.
  struct Link {
    PortableDriver* driver;
  };

  bool add(int fd, uint32_t events) {
    epoll_event event = {};
    event.events = events;
    event.data.fd = fd;
    return ::epoll_ctl(watch_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  void arm(int fd) {
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLONESHOT;
    event.data.fd = fd;
    (void)::epoll_ctl(watch_.get(), EPOLL_CTL_MOD, fd, &event);
  }

  // 0 for never.
  static void set_timer(int fd, uint64_t at_ns, int flags) {
    itimerspec due = {};
    due.it_value.tv_sec = static_cast<time_t>(at_ns / kSecondNs);
    due.it_value.tv_nsec = static_cast<long>(at_ns % kSecondNs);
    (void)::timerfd_settime(fd, flags, &due, nullptr);
  }

  bool make_function() {
    napi_value name = nullptr;
    auto link = std::make_unique<Link>(Link{this});
    const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Link*>(data); };
    if (napi_create_string_utf8(env_, "zerio", NAPI_AUTO_LENGTH, &name) != napi_ok ||
        napi_create_threadsafe_function(env_, nullptr, nullptr, name, 0, 1, link.get(), finalize, link.get(), on_call,
                                        &function_) != napi_ok) {
      return false;
    }
    link_ = link.release();
    apply_reference();
    return true;
  }

  static void on_end(void* self) { static_cast<PortableDriver*>(self)->loop_->tear_down(); }

  static void on_call(napi_env env, napi_value, void* context, void*) {
    PortableDriver* const driver = env == nullptr ? nullptr : static_cast<Link*>(context)->driver;
    if (driver != nullptr) driver->turn();
  }

  // On the loop's thread.
  void turn() {
    posted_.store(false, std::memory_order_release);
    if (woken_fired_.exchange(false)) {
      uint64_t calls = 0;
      (void)!::read(woken_.get(), &calls, sizeof calls);
      arm(woken_.get());
      in_call_ = true;
      loop_->woken();
      in_call_ = false;
      if (link_is_gone()) return loop_->on_driver_closed();
    }
    if (!running_) return;
    if (due_fired_.exchange(false)) due_ns_ = Engine::kNothingDue;
    in_call_ = true;
    loop_->serve();
    if (running_) loop_->before_block();
    in_call_ = false;
    // A handler has closed the engine.
    if (link_is_gone()) return loop_->on_driver_closed();
    rest();
  }

  [[nodiscard]] bool link_is_gone() const { return !thread_.joinable(); }

  // Says what the thread waits for.
  void rest() {
    if (!running_) return;
    if (idle_) {
      set_timer(soon_.get(), kGapNs, 0);
      arm(soon_.get());
    }
    if (wakes_) arm(wait_handle_);
  }

  void apply_reference() {
    const bool wanted = running_ && referenced_;
    (void)(wanted ? napi_ref_threadsafe_function(env_, function_) : napi_unref_threadsafe_function(env_, function_));
  }

  void wait() {
    for (;;) {
      epoll_event events[5] = {};
      const int count = ::epoll_wait(watch_.get(), events, 5, -1);
      for (int i = 0; i < count; ++i) {
        if (events[i].data.fd == ending_.get()) return;
        if (events[i].data.fd == timer_.get()) due_fired_.store(true);
        if (events[i].data.fd == woken_.get()) woken_fired_.store(true);
      }
      if (count > 0 && !posted_.exchange(true)) (void)napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
    }
  }

  napi_env env_ = nullptr;
  Driven* loop_ = nullptr;
  Link* link_ = nullptr;
  napi_threadsafe_function function_ = nullptr;
  int wait_handle_ = -1;
  uint64_t due_ns_ = Engine::kNothingDue;
  bool wakes_ = false;
  bool running_ = false;
  bool idle_ = false;
  bool referenced_ = false;
  bool in_call_ = false;
  std::atomic<bool> posted_ = false;
  std::atomic<bool> due_fired_ = false;
  std::atomic<bool> woken_fired_ = false;
  Descriptor watch_;
  Descriptor ending_;
  Descriptor soon_;
  Descriptor woken_;
  Descriptor timer_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<LoopDriver> make_portable_driver() { return std::make_unique<PortableDriver>(); }

}  // namespace zerio
