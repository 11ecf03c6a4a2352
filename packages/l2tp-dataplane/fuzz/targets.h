// What is fuzzed. Each target takes any octets and aborts when something is not as it must be; libFuzzer (main.cc) and the
// unit tests (test/native/drive.cc) call the same functions.
#pragma once
#include <cstddef>
#include <cstdint>

void fuzz_packets(const uint8_t* input, size_t size);
void fuzz_coalesce(const uint8_t* input, size_t size);
void fuzz_segment(const uint8_t* input, size_t size);
void fuzz_queue(const uint8_t* input, size_t size);
void fuzz_reorder(const uint8_t* input, size_t size);
