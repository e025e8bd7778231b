// A fake libnvidia-ml.so.1: a shared library with the NVML calls that Railhead makes, for machines
// without a GPU. It answers from a fixture (tests/fixtures/nvml/README.md), keeps state, and takes
// faults. Thread-safe, one state for each process; never part of a shipped program.
//
// What it holds itself to, as NVML documents it: calls before nvmlInit answer "uninitialised";
// event sets deliver only registered types, and "not supported" registers none; a lost GPU answers
// "lost" to everything, and waiting on an event set that has one does too; an absent fact is "not
// supported"; a GPU is only reset while nobody has NVML open.
//
// Environment: RAILHEAD_FAKE_NVML names the fixture, read by the first nvmlInit_v2; with none the
// driver is "not loaded". RAILHEAD_FAKE_NVML_CONTROL names a file of commands, one a line, that
// other processes may append to: new lines are obeyed within 20 ms while somebody waits for events,
// else at the next nvmlInit_v2.
#pragma once

extern "C" {

// Obeys one command; 0, or -1 with the reason in fakeNvmlMessage(). GPU is an index:
//   load PATH              another fixture; only while no session is open
//   xid GPU XID [GI [CI]]  an Xid event, of a MIG instance when given
//   event GPU TYPE [DATA]  any event, TYPE a number of nvmlEventType
//   lose GPU               it falls off the bus
//   unplug GPU             it is no longer there (a session that is open keeps seeing it, lost)
//   reset GPU              as in the fixture again, and back; refused while a session is open
//   set GPU CALL JSON      another answer, as a fixture writes it
//   set-mig GPU N CALL JSON   the same of its Nth MIG device
//   fail-init CODE         nvmlInit_v2 answers CODE; 0 ends it
int fakeNvmlControl(const char* command);
const char* fakeNvmlMessage(void);  // of this thread's last refused command
int fakeNvmlSessions(void);         // nvmlInit_v2 without their nvmlShutdown
int fakeNvmlEventSets(void);        // event sets not yet freed
int fakeNvmlEventSetsMade(void);    // event sets made so far, freed ones too
int fakeNvmlRegistrations(void);    // devices registered on open event sets
}
