// The replaced operator new.
#include "allocations.h"

#include <cstdlib>
#include <new>

namespace zerio::simulation {
namespace {

bool counting = false;
uint64_t counted = 0;

void* allocate(size_t bytes) {
  if (counting) ++counted;
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

uint64_t allocations_counted() { return counted; }

Counting::Counting(bool on) : before_(counting) { counting = on; }
Counting::~Counting() { counting = before_; }

}  // namespace zerio::simulation

void* operator new(size_t bytes) { return zerio::simulation::allocate(bytes); }
void* operator new[](size_t bytes) { return zerio::simulation::allocate(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
