// A fake libnccl.so.2: a shared library with the NCCL calls that Railhead makes, over the fake CUDA
// driver (tests/support/fake_cuda). Ranks may be threads of one process or processes of one
// machine; their bytes go through unix sockets in the abstract namespace, so that a rank that dies
// is noticed and leaves nothing behind. Thread-safe; never part of a shipped program.
//
// What it holds itself to: joining needs every rank, a current device, and no two ranks of one
// NCCL_HOSTID (else the host's name) on one device; work is put on the stream and done there, in
// order; a communicator that does not block is in progress for a while after each call and takes no
// other until then; a rank that is gone is a remote error for the others, found by
// ncclCommGetAsyncError while the stream stays busy; abort frees the stream. With NCCL_DEBUG=INFO
// and NCCL_DEBUG_FILE it writes a log of the usual form.
//
// Not as the real one: a split takes all ranks in their order; whoever aborts is gone for the other
// communicators of the same ranks, too.
#pragma once

extern "C" {

// Obeys one command; 0, or -1 when it is none. RANK may be *. N counts a rank's calls (a group is
// one) from the command on, 0 is the next.
//   reset                        forget all commands
//   version CODE                 ncclGetVersion answers CODE
//   transport TEXT               what channel lines end in; NET/Socket/0 at first
//   fail-init RANK CODE          joining fails at once
//   hang-init RANK               joining does not end
//   fail-call RANK N CODE        the call's work is never done, and CODE is the async error
//   hang-call RANK N             its work is never done
//   block-call RANK N            the call itself does not return until the communicator is aborted
//   corrupt-call RANK N          one bit of what arrives is wrong
//   hang-choice A P, corrupt-choice A P
//                                each call does so while the tuner's live table (the file that
//                                RAILHEAD_TUNER_LIVE names) has NCCL's algorithm A and protocol P
//   corrupt-with NAME VALUE      each call does so in a process with that variable
// Environment: RAILHEAD_FAKE_NCCL holds commands for other processes, separated by ';'.
int fakeNcclControl(const char* command);
int fakeNcclComms(void);   // communicators neither destroyed nor aborted
int fakeNcclAborts(void);  // so far
}
