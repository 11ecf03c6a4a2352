// libFuzzer's entry point for one target: -DTARGET=fuzz_packets.
#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  TARGET(input, size);
  return 0;
}
