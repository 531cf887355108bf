#include "scratch.h"

#include <cstdlib>
#include <vector>

namespace elman {
namespace {

constexpr size_t kLine = 64, kKept = size_t{64} << 20;  // bytes a thread keeps, at most

// Sizes grow by an eighth at a time, so that calls of about one size find each other's memory.
size_t rounded(size_t bytes) {
  size_t step = kLine;
  while (step * 16 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

class Kept {
 public:
  ~Kept() {
    for (const Block& block : blocks_) std::free(block.memory);
  }

  void* take(size_t bytes) {
    for (size_t k = blocks_.size(); k-- > 0;)
      if (blocks_[k].bytes == bytes) {
        void* const memory = blocks_[k].memory;
        total_ -= bytes;
        blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(k));
        return memory;
      }
    return std::aligned_alloc(kLine, bytes);
  }

  void give(void* memory, size_t bytes) {
    blocks_.push_back({memory, bytes});
    total_ += bytes;
    while (total_ > kKept) {  // what was not asked for the longest goes first
      std::free(blocks_.front().memory);
      total_ -= blocks_.front().bytes;
      blocks_.erase(blocks_.begin());
    }
  }

 private:
  struct Block {
    void* memory;
    size_t bytes;
  };
  std::vector<Block> blocks_;
  size_t total_ = 0;
};

thread_local Kept kept;

}  // namespace

void* take_scratch(size_t bytes) {
  if (bytes > SIZE_MAX / 2) return nullptr;
#if defined(__SANITIZE_ADDRESS__)
  void* exact = nullptr;  // so that the sanitizer sees the very end
  return posix_memalign(&exact, kLine, bytes) == 0 ? exact : nullptr;
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
