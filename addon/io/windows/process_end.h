// The end of the process, when nothing is torn down: the system closes all sockets, and resets a connection on which a receive is
// under way. So the end of each stream is sent before.
#pragma once

namespace zerio {

class AtProcessEnd {
 public:
  AtProcessEnd(const AtProcessEnd&) = delete;
  AtProcessEnd& operator=(const AtProcessEnd&) = delete;

  // For all objects of the process, when all other threads are gone.
  static void run();

 protected:
  AtProcessEnd();
  ~AtProcessEnd();
  virtual void process_ends() = 0;

 private:
  AtProcessEnd* next_ = nullptr;
};

}  // namespace zerio
