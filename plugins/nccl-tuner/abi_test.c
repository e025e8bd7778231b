/* Loads the built plugin as NCCL does, and drives each version of its interface with what NCCL
 * hands over and with what it never should. The declarations here are a second writing of the
 * public headers, in C: they must not be those that the plugin was compiled with.
 *
 * usage: abi_test PLUGIN FOLDER    writes its table and live table into FOLDER; exits 0 when
 * everything held */
#define _DEFAULT_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int (*Init3)(size_t, size_t,
                     void (*)(int, unsigned long, const char*, int, const char*, ...), void**);
typedef int (*Init5)(void**, uint64_t, size_t, size_t,
                     void (*)(int, unsigned long, const char*, int, const char*, ...), void*,
                     void*);
typedef int (*Info3)(void*, int, size_t, int, float**, int, int, int*);
typedef int (*Info4)(void*, int, size_t, int, float**, int, int, int, int*);

struct V3 {
  const char* name;
  Init3 init;
  Info3 info;
  int (*destroy)(void*);
};
struct V4 {
  const char* name;
  Init3 init;
  Info4 info;
  int (*destroy)(void*);
};
struct V5 {
  const char* name;
  Init5 init;
  Info4 info;
  int (*finalize)(void*);
};
struct V6 {
  const char* name;
  Init5 init;
  Info4 info;
  int (*finalize)(void*);
  void* chunk;
};

static int failures;
#define EXPECT(what)                                                               \
  do {                                                                             \
    if (!(what)) {                                                                 \
      fprintf(stderr, "abi_test:%d: v%d: not so: %s\n", __LINE__, version, #what); \
      ++failures;                                                                  \
    }                                                                              \
  } while (0)

static int version;
static void* symbol;
static char logged[1024];

static void keepLog(int level, unsigned long flags, const char* file, int line, const char* format,
                    ...) {
  va_list values;
  (void)file;
  (void)line;
  EXPECT(level == 3 && (flags & 0x40) != 0);
  va_start(values, format);
  vsnprintf(logged, sizeof logged, format, values);
  va_end(values);
}

static int init(size_t ranks, size_t nodes, int withLog, void** context) {
  void (*log)(int, unsigned long, const char*, int, const char*, ...) = withLog ? keepLog : NULL;
  /* as large as NCCL's, to see that nothing is written there */
  static unsigned char domains[12], constants[4096], untouched[4096];
  int answer;
  if (version == 3) return ((struct V3*)symbol)->init(ranks, nodes, log, context);
  if (version == 4) return ((struct V4*)symbol)->init(ranks, nodes, log, context);
  answer = version == 5
               ? ((struct V5*)symbol)->init(context, 1, ranks, nodes, log, domains, constants)
               : ((struct V6*)symbol)->init(context, 1, ranks, nodes, log, domains, constants);
  EXPECT(memcmp(constants, untouched, sizeof constants) == 0);
  return answer;
}

static int info(void* context, int collective, size_t bytes, float* costs, int algorithms,
                int protocols, int* channels) {
  float** table = (float**)(void*)costs;
  if (version == 3)
    return ((struct V3*)symbol)
        ->info(context, collective, bytes, 1, table, algorithms, protocols, channels);
  if (version == 4)
    return ((struct V4*)symbol)
        ->info(context, collective, bytes, 1, table, algorithms, protocols, 0, channels);
  if (version == 5)
    return ((struct V5*)symbol)
        ->info(context, collective, bytes, 1, table, algorithms, protocols, 1, channels);
  return ((struct V6*)symbol)
      ->info(context, collective, bytes, INT_MIN, table, algorithms, protocols, INT_MAX, channels);
}

static int closeContext(void* context) {
  if (version == 3) return ((struct V3*)symbol)->destroy(context);
  if (version == 4) return ((struct V4*)symbol)->destroy(context);
  if (version == 5) return ((struct V5*)symbol)->finalize(context);
  return ((struct V6*)symbol)->finalize(context);
}

static void fill(float* costs) {
  for (int i = 0; i < 21; ++i) costs[i] = (float)(i + 1);
}

static int changed(const float* costs) { /* how many entries are not as fill() made them */
  int count = 0;
  for (int i = 0; i < 21; ++i) count += costs[i] != (float)(i + 1);
  return count;
}

static void drive(void* context, int expectChoice) {
  static const int numbers[] = {INT_MIN, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 15, INT_MAX};
  static const size_t sizes[] = {0, 1, 65535, 65536, SIZE_MAX / 2, SIZE_MAX};
  const int count = (int)(sizeof numbers / sizeof *numbers);
  float costs[21];
  int channels = 0;

  fill(costs);
  EXPECT(info(context, 4, 1000, costs, 7, 3, &channels) == 0);
  EXPECT(changed(costs) == expectChoice && channels == 0);
  EXPECT(!expectChoice || costs[0 * 3 + 0] == 0.0f);
  fill(costs);
  EXPECT(info(context, 4, 65536, costs, 7, 3, &channels) == 0);
  EXPECT(changed(costs) == expectChoice && channels == (expectChoice ? 4 : 0));
  fill(costs);
  costs[0] = -1.0f;
  channels = 0;
  EXPECT(info(context, 4, 1000, costs, 7, 3, &channels) == 0 && costs[0] == -1.0f && channels == 0);
  costs[0] = NAN;
  EXPECT(info(context, 4, 1000, costs, 7, 3, &channels) == 0 && isnan(costs[0]));

  for (int c = 0; c < count; ++c)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; ++s)
      for (int a = 0; a < count; ++a)
        for (int p = 0; p < count; ++p) {
          fill(costs);
          channels = 0;
          EXPECT(info(context, numbers[c], sizes[s], costs, numbers[a], numbers[p], &channels) ==
                 0);
          if (numbers[c] != 4 || numbers[p] != 3 || numbers[a] > 7 || numbers[a] < 1)
            EXPECT(changed(costs) == 0 && channels == 0);
        }
  fill(costs);
  EXPECT(info(context, 4, 1000, NULL, 7, 3, &channels) == 0);
  EXPECT(info(context, 4, 65536, costs, 7, 3, NULL) == 0 && changed(costs) == 0);
  EXPECT(info(context, 4, 65536, NULL, INT_MAX, INT_MAX, NULL) == 0);
}

static void driveVersion(void) {
  void* context = &failures;
  const char* name = *(const char**)symbol;
  EXPECT(strcmp(name, "railhead") == 0);

  EXPECT(init(2, 1, 1, NULL) == 0);
  EXPECT(init(0, 0, 1, &context) == 0 && context == NULL);
  EXPECT(init(1, 1, 1, &context) == 0 && context == NULL);
  EXPECT(init(SIZE_MAX, SIZE_MAX, 0, &context) == 0 && context == NULL);
  EXPECT(init(3, 1, 1, &context) == 0 && context == NULL);
  EXPECT(strstr(logged, "no line for 3 ranks") != NULL);
  drive(context, 0);
  drive(&failures, 0); /* a context that is none */
  drive((void*)(uintptr_t)1, 0);
  drive((void*)UINTPTR_MAX, 0);
  EXPECT(init(2, 1, 1, &context) == 0 && context != NULL);
  EXPECT(strstr(logged, "on: table 0123456789ab, agreed, 2 of its 2 lines") != NULL);
  drive(context, 1);
  EXPECT(closeContext(context) == 0);
  EXPECT(closeContext(NULL) == 0);
  EXPECT(closeContext(&failures) == 0);
  EXPECT(init(2, 1, 0, &context) == 0 && context != NULL); /* as after a communicator's end */
  drive(context, 1);
}

/* The live table, written a second time as well: 16 numbers of 32 bits. */
enum { kMagic, kSequence, kAlgorithm, kProtocol, kChannels, kLiveNumbers = 16 };

static void choose(uint32_t* live, uint32_t algorithm, uint32_t protocol, uint32_t channels) {
  live[kAlgorithm] = algorithm;
  live[kProtocol] = protocol;
  live[kChannels] = channels;
  live[kMagic] = 0x314c4852;
  __atomic_store_n(&live[kSequence], (live[kSequence] | 1) + 1, __ATOMIC_RELEASE);
}

static int decided(void* context, float* costs, int* channels) { /* how many entries changed */
  fill(costs);
  *channels = 0;
  EXPECT(info(context, 0, SIZE_MAX, costs, 7, 3, channels) == 0);
  return changed(costs);
}

static void driveLive(uint32_t* live) {
  void* context = NULL;
  float costs[21];
  int channels = 0;
  memset(live, 0, kLiveNumbers * sizeof *live);
  EXPECT(init(2, 1, 1, &context) == 0 && context != NULL);
  EXPECT(strstr(logged, "on: live choices for 2 ranks on 1 nodes") != NULL);
  EXPECT(decided(context, costs, &channels) == 0 && channels == 0);
  choose(live, 1, 2, 8);
  EXPECT(decided(context, costs, &channels) == 1 && costs[1 * 3 + 2] == 0.0f && channels == 8);
  choose(live, 4, 2, 0);
  EXPECT(decided(context, costs, &channels) == 1 && costs[4 * 3 + 2] == 0.0f && channels == 0);
  choose(live, 4, 2, 1); /* channels that NCCL may not bound */
  EXPECT(decided(context, costs, &channels) == 0 && channels == 0);
  choose(live, 7, 0, 0);
  EXPECT(decided(context, costs, &channels) == 0 && channels == 0);
  choose(live, 1, 2, 0);
  live[kSequence] |= 1; /* being written */
  EXPECT(decided(context, costs, &channels) == 0 && channels == 0);
  EXPECT(closeContext(context) == 0);
}

/* In a process of its own: where the choices come from is settled once in each. */
static void driveLiveTable(const char* plugin, const char* folder) {
  const pid_t child = fork();
  int status = 1;
  if (child == 0) {
    char path[4096];
    int file;
    uint32_t* live;
    void* library = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
    snprintf(path, sizeof path, "%s/abi.live", folder);
    file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (library == NULL || file < 0 || ftruncate(file, 64) != 0) _exit(2);
    live = mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (live == MAP_FAILED) _exit(2);
    setenv("RAILHEAD_TUNER_LIVE", path, 1);
    for (version = 3; version <= 6; ++version) {
      char name[32];
      snprintf(name, sizeof name, "ncclTunerPlugin_v%d", version);
      symbol = dlsym(library, name);
      EXPECT(symbol != NULL);
      if (symbol != NULL) driveLive(live);
    }
    _exit(failures == 0 ? 0 : 1);
  }
  EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void writeTable(const char* folder) {
  char path[4096];
  FILE* file;
  const char* hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  snprintf(path, sizeof path, "%s/abi.table", folder);
  file = fopen(path, "w");
  if (file == NULL) exit(2);
  fprintf(file, "railhead-tuner 1\nhash %s\nallreduce 2 1 0 65535 tree ll 0\n", hash);
  fprintf(file, "allreduce 2 1 65536 18446744073709551615 ring simple 4\n");
  fclose(file);
  setenv("RAILHEAD_TUNER_TABLE", path, 1);
  setenv("RAILHEAD_TUNER_AGREED", hash, 1);
  unsetenv("RAILHEAD_TUNER_LIVE");
}

int main(int argc, char** argv) {
  void* library;
  if (argc != 3) return 2;
  writeTable(argv[2]);
  driveLiveTable(argv[1], argv[2]);
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "abi_test: %s\n", dlerror());
    return 1;
  }
  for (version = 3; version <= 6; ++version) {
    char name[32];
    snprintf(name, sizeof name, "ncclTunerPlugin_v%d", version);
    symbol = dlsym(library, name);
    EXPECT(symbol != NULL);
    if (symbol != NULL) driveVersion();
  }
  version = 6;
  EXPECT(symbol != NULL && ((struct V6*)symbol)->chunk == NULL); /* chunks are NCCL's own */
  version = 2;
  EXPECT(dlsym(library, "ncclTunerPlugin_v2") == NULL);
  EXPECT(dlsym(library, "ncclTunerPlugin_v7") == NULL);
  dlclose(library);
  EXPECT(dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) !=
         NULL); /* what was proven lasts as long as the process */
  printf("abi_test: v3 to v6, %d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
