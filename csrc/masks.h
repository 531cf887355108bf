// Random masks: each place is told from a key and its number alone, so that threads may share
// them out and any other machine that does the same arithmetic draws the same.
#pragma once

#include <algorithm>

#include "team.h"

namespace elman {
namespace {

// A word's bits stirred, so that each depends on all: the last steps of MurmurHash3 for 32 bits.
inline uint32_t stirred(uint32_t h) {
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

constexpr int64_t kWords = 64;           // of a block
constexpr int64_t kPlaces = 2 * kWords;  // the lower halves of its words, then the upper ones
constexpr int64_t kBlocksOfTask = 1 << 8;
constexpr int64_t kTasksWorthSharing = 8;  // more than that

// One where a place's draw from 0 to 65535 is at least 65536 - up, else zero, for a block of them.
inline void draw_block(uint32_t first, uint32_t low_key, uint32_t high_key, uint32_t up,
                       uint8_t* to) {
  for (uint32_t k = 0; k < kWords; ++k) {
    const uint32_t word = stirred(stirred(first + k + low_key) ^ high_key);
    to[k] = static_cast<uint8_t>(((word & 0xffff) + up) >> 16);
    to[k + kWords] = static_cast<uint8_t>(((word >> 16) + up) >> 16);
  }
}

// Ones where a place's draw is at least `edge`, which is from 0 to 65536.
inline void draw_mask(uint64_t key, int32_t edge, int64_t size, uint8_t* to, Parallel parallel) {
  Team team(parallel);
  const auto low_key = static_cast<uint32_t>(key), high_key = static_cast<uint32_t>(key >> 32);
  const uint32_t up = 0x10000u - static_cast<uint32_t>(edge);
  const int64_t blocks = (size + kPlaces - 1) / kPlaces;
  const int64_t tasks = (blocks + kBlocksOfTask - 1) / kBlocksOfTask;
  team.share(tasks, tasks > kTasksWorthSharing, [&](int64_t task) {
    const int64_t end = std::min(blocks, (task + 1) * kBlocksOfTask);
    uint8_t block[kPlaces];
    for (int64_t b = task * kBlocksOfTask; b < end; ++b) {
      const int64_t at = b * kPlaces, places = std::min(kPlaces, size - at);
      draw_block(static_cast<uint32_t>(b * kWords), low_key, high_key, up, block);
      std::memcpy(to + at, block, places);
    }
  });
}

}  // namespace
}  // namespace elman
