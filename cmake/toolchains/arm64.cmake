# Compiles for arm64 on a Debian or Ubuntu machine of another architecture. The libraries come from the folder that
# cmake/toolchains/sysroot.sh makes; the protobuf compiler and its plugin are the building machine's, of the same
# release. Tests run under qemu-user where it is there.
#
# RAILHEAD_SHIM_ONLY needs no sysroot: the compiler's own C library and the building machine's header-only libraries
# are enough for the static shim.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

get_filename_component(_tree ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
set(RAILHEAD_SYSROOT ${_tree}/.cache/sysroot-arm64/root CACHE PATH "What cmake/toolchains/sysroot.sh made")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES RAILHEAD_SYSROOT RAILHEAD_SHIM_ONLY)

find_program(RAILHEAD_QEMU_USER NAMES qemu-aarch64 qemu-aarch64-static)
mark_as_advanced(RAILHEAD_QEMU_USER)

if(NOT RAILHEAD_SHIM_ONLY)
  if(NOT EXISTS ${RAILHEAD_SYSROOT}/usr/include)
    message(FATAL_ERROR "no sysroot in ${RAILHEAD_SYSROOT}: run cmake/toolchains/sysroot.sh .cache/sysroot-arm64")
  endif()
  set(CMAKE_SYSROOT ${RAILHEAD_SYSROOT})
  set(ENV{PKG_CONFIG_SYSROOT_DIR} ${RAILHEAD_SYSROOT})
  set(ENV{PKG_CONFIG_LIBDIR}
    ${RAILHEAD_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${RAILHEAD_SYSROOT}/usr/share/pkgconfig)
  set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
  set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
  set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
  if(RAILHEAD_QEMU_USER)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${RAILHEAD_QEMU_USER};-L;${RAILHEAD_SYSROOT})
  endif()
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
