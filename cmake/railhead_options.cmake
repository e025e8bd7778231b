# Warnings, sanitizers and build types shared by every target.

# The tree: what is built may be a part of it (apps/railhead-train/standalone).
get_filename_component(RAILHEAD_ROOT ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)

set(RAILHEAD_SANITIZE "" CACHE STRING "Sanitizers for every target: 'address,undefined' or 'thread'")

# Eight sources compiled as one: most of a build from nothing goes into the same headers, so that halves it. Names in
# anonymous namespaces are therefore unique within a target.
option(RAILHEAD_UNITY "Compile several sources as one" ON)
set(CMAKE_UNITY_BUILD ${RAILHEAD_UNITY})
set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)

option(RAILHEAD_FUZZ "libFuzzer's programs too (needs clang and a sanitizer)" OFF)

# Dev: fast to compile, quick enough for the lab, with line numbers in a backtrace.
# Under a sanitizer without optimisation: that compiles three times as fast, and hides less.
if(RAILHEAD_SANITIZE)
  set(CMAKE_CXX_FLAGS_DEV "-O0 -g1")
else()
  set(CMAKE_CXX_FLAGS_DEV "-O1 -g1")
endif()
set(CMAKE_C_FLAGS_DEV ${CMAKE_CXX_FLAGS_DEV})
# Some 150 programs are linked, twice as fast by this linker as by the one that compilers take.
include(CheckLinkerFlag)
check_linker_flag(CXX -fuse-ld=gold RAILHEAD_HAS_GOLD)
set(CMAKE_EXE_LINKER_FLAGS_DEV "")
if(RAILHEAD_HAS_GOLD)
  set(CMAKE_EXE_LINKER_FLAGS_DEV "-fuse-ld=gold")
endif()
set(CMAKE_SHARED_LINKER_FLAGS_DEV "")
# Release: the same bytes from any folder.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG -ffile-prefix-map=${RAILHEAD_ROOT}=.")
set(CMAKE_C_FLAGS_RELEASE ${CMAKE_CXX_FLAGS_RELEASE})

add_library(railhead_flags INTERFACE)
target_compile_options(railhead_flags INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-align
  -Woverloaded-virtual -Wimplicit-fallthrough -Wno-missing-field-initializers
  # GCC's flow analysis gives false alarms on inlined library code, others with every release; the
  # sanitizers and clang-tidy look for these instead.
  -Wno-null-dereference -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-array-bounds
  -Wno-restrict
  # A class of one source file holds a type of that file's anonymous namespace; in a unity build that file is included.
  -Wno-subobject-linkage
  -ffunction-sections -fdata-sections -fvisibility=hidden)
target_link_options(railhead_flags INTERFACE -Wl,--gc-sections -Wl,--as-needed)
target_include_directories(railhead_flags INTERFACE ${RAILHEAD_ROOT} ${CMAKE_BINARY_DIR})
if(RAILHEAD_SANITIZE)
  # Undefined behaviour is looked for in what is shipped and in the fakes. In the tests themselves it would double
  # the time to compile them, most of it for the test framework's templates.
  string(REPLACE ",undefined" "" everywhere "${RAILHEAD_SANITIZE}")
  target_compile_options(railhead_flags INTERFACE -fsanitize=${everywhere} -fno-omit-frame-pointer)
  if(NOT everywhere STREQUAL RAILHEAD_SANITIZE)
    target_compile_options(railhead_flags INTERFACE
      $<$<NOT:$<BOOL:$<TARGET_PROPERTY:RAILHEAD_IS_TEST>>>:-fsanitize=undefined>)
  endif()
  target_compile_options(railhead_flags INTERFACE -fno-sanitize-recover=all)
  if(RAILHEAD_FUZZ)
    target_compile_options(railhead_flags INTERFACE -fsanitize=fuzzer-no-link -Wno-unknown-warning-option)
  endif()
  target_link_options(railhead_flags INTERFACE -fsanitize=${RAILHEAD_SANITIZE})
endif()
