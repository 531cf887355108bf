#include "scratch.h"

#include <cstdlib>

#include "cache.h"

namespace elman {
namespace {

// Sizes grow by an eighth at a time, so that calls of about one size find each other's memory.
size_t rounded(size_t bytes) {
  size_t step = kLineBytes;
  while (step * 16 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

class Kept {
 public:
  ~Kept() {
    while (count_ > 0) drop(0);
  }

  void* take(size_t bytes) {
    for (int k = count_; k-- > 0;)
      if (blocks_[k].bytes == bytes) return taken(k);
    return std::aligned_alloc(kLineBytes, bytes);
  }

  void give(void* memory, size_t bytes) {
    // what was not asked for the longest goes first
    while (count_ > 0 && (count_ == kBlocks || total_ + bytes > kBytes)) drop(0);
    if (bytes > kBytes) return std::free(memory);
    blocks_[count_++] = {memory, bytes};
    total_ += bytes;
  }

 private:
  struct Block {
    void* memory;
    size_t bytes;
  };
  static constexpr int kBlocks = 32;
  static constexpr size_t kBytes = size_t{64} << 20;

  void* taken(int k) {
    void* const memory = blocks_[k].memory;
    total_ -= blocks_[k].bytes;
    --count_;
    for (; k < count_; ++k) blocks_[k] = blocks_[k + 1];
    return memory;
  }
  void drop(int k) { std::free(taken(k)); }

  Block blocks_[kBlocks];
  int count_ = 0;
  size_t total_ = 0;
};

thread_local Kept kept;

}  // namespace

void* take_scratch(size_t bytes) {
  if (bytes > SIZE_MAX / 2) return nullptr;
#if defined(__SANITIZE_ADDRESS__)
  void* exact = nullptr;  // so that the sanitizer sees the very end
  return posix_memalign(&exact, kLineBytes, bytes) == 0 ? exact : nullptr;
#else
  return kept.take(rounded(bytes));
#endif
}

void give_scratch(void* memory, size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  (void)bytes;
  std::free(memory);
#else
  kept.give(memory, rounded(bytes));
#endif
}

}  // namespace elman
