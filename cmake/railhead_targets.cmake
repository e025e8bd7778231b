# railhead_library(NAME SOURCES a.cc ... DEPS x y ...)       target railhead_NAME
# railhead_program(NAME SOURCES main.cc ... DEPS x y ...)    executable NAME in <build>/bin
# railhead_test(NAME SOURCES a_test.cc ... DEPS x y ... [LABEL unit|integration|abi|lab] [TIMEOUT s])
#
# DEPS name our own libraries without the prefix, or any other CMake target or library file.

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

function(_railhead_link target scope)
  foreach(dep IN LISTS ARGN)
    if(TARGET railhead_${dep})
      target_link_libraries(${target} ${scope} railhead_${dep})
    else()
      target_link_libraries(${target} ${scope} ${dep})
    endif()
  endforeach()
endfunction()

function(railhead_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(railhead_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(railhead_${name} PUBLIC railhead_flags)
  _railhead_link(railhead_${name} PUBLIC ${ARG_DEPS})
endfunction()

function(railhead_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE railhead_flags)
  _railhead_link(${name} PRIVATE ${ARG_DEPS})
endfunction()

# railhead_lab_program(TARGET FOLDER): puts a program into the lab's guest image, below FOLDER there.
function(railhead_lab_program target folder)
  set_property(GLOBAL APPEND PROPERTY RAILHEAD_LAB_PROGRAMS ${target})
  set_property(GLOBAL APPEND PROPERTY RAILHEAD_LAB_PROGRAM_FOLDERS ${folder})
endfunction()

# railhead_started_as(OUT TARGET): a path that starts TARGET's program as a process. Cross-built, that is a script:
# the kernel does not start another architecture's program by itself.
function(railhead_started_as out target)
  set(path $<TARGET_FILE:${target}>)
  if(CMAKE_CROSSCOMPILING_EMULATOR)
    set(path ${CMAKE_CURRENT_BINARY_DIR}/${target}-emulated)
    list(JOIN CMAKE_CROSSCOMPILING_EMULATOR "' '" emulator)
    file(GENERATE OUTPUT ${path}
      CONTENT "#!/bin/sh\nexec '${emulator}' '$<TARGET_FILE:${target}>' \"$@\"\n"
      FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
  endif()
  set(${out} ${path} PARENT_SCOPE)
endfunction()

# What is worth running under an emulator, minutes in all: `./dev test arm64` builds and runs these.
set(RAILHEAD_EMULATED_TESTS
  agent_command_line_test agent_config_test agent_program_test attach_parts_test attach_test base_test cni_test config_test
  conflist_test discover_test json_test nccl_tuner_proof_test nccl_tuner_test netlink_codec_test os_test shim_abi_test shim_process_test shim_test verbs_test)
if(CMAKE_CROSSCOMPILING)
  add_custom_target(emulated_tests)
endif()

function(railhead_test name)
  if(NOT RAILHEAD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  if(CMAKE_CROSSCOMPILING AND name IN_LIST RAILHEAD_EMULATED_TESTS)
    list(APPEND ARG_LABEL arm64)
    math(EXPR ARG_TIMEOUT "4 * ${ARG_TIMEOUT}")
    add_dependencies(emulated_tests ${name})
  endif()
  if(RAILHEAD_SANITIZE)
    math(EXPR ARG_TIMEOUT "4 * ${ARG_TIMEOUT}")  # a sanitizer slows the same work down
  endif()
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests RAILHEAD_IS_TEST ON)
  target_link_libraries(${name} PRIVATE railhead_flags)
  _railhead_link(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT})
  if(RAILHEAD_SANITIZE STREQUAL thread)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/cmake/tsan.supp")
  endif()
endfunction()

if(RAILHEAD_TESTS)
  find_package(GTest REQUIRED)
endif()
