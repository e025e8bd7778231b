# Warnings, sanitizers and build types shared by every target.

set(RAILHEAD_SANITIZE "" CACHE STRING "Sanitizers for every target: 'address,undefined' or 'thread'")

# Dev: fast to compile, quick enough for the lab, with line numbers in a backtrace.
set(CMAKE_CXX_FLAGS_DEV "-O1 -g1")
set(CMAKE_C_FLAGS_DEV "-O1 -g1")
set(CMAKE_EXE_LINKER_FLAGS_DEV "")
set(CMAKE_SHARED_LINKER_FLAGS_DEV "")
# Release: the same bytes from any folder.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.")
set(CMAKE_C_FLAGS_RELEASE ${CMAKE_CXX_FLAGS_RELEASE})

add_library(railhead_flags INTERFACE)
target_compile_options(railhead_flags INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-align
  -Woverloaded-virtual -Wimplicit-fallthrough -Wno-missing-field-initializers
  # GCC's flow analysis gives false alarms on inlined library code, others with every release; the
  # sanitizers and clang-tidy look for these instead.
  -Wno-null-dereference -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-array-bounds
  -Wno-restrict
  -ffunction-sections -fdata-sections -fvisibility=hidden)
target_link_options(railhead_flags INTERFACE -Wl,--gc-sections -Wl,--as-needed)
target_include_directories(railhead_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
if(RAILHEAD_SANITIZE)
  target_compile_options(railhead_flags INTERFACE -fsanitize=${RAILHEAD_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(railhead_flags INTERFACE -fsanitize=${RAILHEAD_SANITIZE})
endif()
