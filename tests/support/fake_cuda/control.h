// A fake libcuda.so.1: a shared library with the CUDA driver calls that Railhead makes, for
// machines without a GPU. Device memory is memory of this process, each stream is a thread that
// works off what it was given in order, and kernels run on the host by their names (fill_* and
// check_* of src/gpu/cuda/pattern_kernels, computed with src/collective/pattern.h; the pieces of
// src/gpu/cuda/compute_kernel are counted, and take no time). Thread-safe, one state for each
// process; never part of a shipped program.
//
// What it holds itself to, as CUDA documents it: calls before cuInit answer "not initialised";
// calls that need a current context answer "invalid context" without one; work on a stream is done
// later and in order; freeing device memory waits for the device; memory that no allocation covers
// is an illegal address, which spoils the context for good; a driver older than a question answers
// "invalid value" to it.
//
// Environment: RAILHEAD_FAKE_CUDA holds the kinds of devices for other processes, as "devices"
// does.
//
// Not as the real one: dma-buf is exported of whole allocations only; a grid shapes no fill or
// check.
#pragma once

extern "C" {

// Obeys one command; 0, or -1 with the reason in fakeCudaMessage(). DEVICE is an ordinal:
//   devices KIND...               the machine's devices, h200 or gb10; none: no device. Only while
//                                 nothing is open. Forgets all other commands. One h200 at first.
//   attribute DEVICE NUMBER VALUE another answer; VALUE none: this driver does not know NUMBER
//   memory DEVICE BYTES           so much memory in all
//   fail CALL CODE [CALLS]        after CALLS further calls (0), the call of that name answers CODE
//   fail-init CODE                cuInit answers CODE; 0 ends it
int fakeCudaControl(const char* command);
const char* fakeCudaMessage(void);  // of this thread's last refused command
// Contexts, allocations, streams, events and modules that still exist.
int fakeCudaObjects(void);

// For tests/support/fake_nccl, whose work runs on streams, too: `run` is called once, on the
// stream's thread, after all earlier work. The stream's code, as of every call.
int fakeCudaEnqueue(void* stream, void (*run)(void*), void* argument);
// The ordinal of the calling thread's current device; -1 without one.
int fakeCudaCurrentDevice(void);
}
