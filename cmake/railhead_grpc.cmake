# gRPC without TLS, as target railhead_grpc: kubelet is reached over unix sockets only.
#
# Linked statically by default. A program of the node then maps five shared libraries instead of
# seventy, starts ten times faster in an emulated node, and keeps only the gRPC code it calls. When
# the distribution ships no archives, or a sanitizer must see the library's borders, shared ones are
# taken instead.

include_guard(GLOBAL)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_program(RAILHEAD_PROTOC protoc)
find_program(RAILHEAD_GRPC_PLUGIN grpc_cpp_plugin)
pkg_check_modules(RAILHEAD_GRPC_PC grpc++_unsecure)
if(NOT RAILHEAD_PROTOC OR NOT RAILHEAD_GRPC_PLUGIN OR NOT RAILHEAD_GRPC_PC_FOUND)
  message(FATAL_ERROR "gRPC is missing: install libgrpc++-dev libgrpc-dev libprotobuf-dev "
    "protobuf-compiler protobuf-compiler-grpc (./dev setup does)")
endif()

set(_static_default ON)
if(RAILHEAD_SANITIZE)
  set(_static_default OFF)
endif()
option(RAILHEAD_GRPC_STATIC "Link gRPC and protobuf statically" ${_static_default})

# _railhead_archive(OUT NAME...): the static archive of the first NAME that has one, or empty.
function(_railhead_archive out)
  set(found "")
  foreach(name IN LISTS ARGN)
    find_library(_railhead_found_${name} NAMES lib${name}.a PATHS ${RAILHEAD_GRPC_PC_LIBDIR})
    mark_as_advanced(_railhead_found_${name})
    if(_railhead_found_${name})
      set(found ${_railhead_found_${name}})
      break()
    endif()
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

add_library(railhead_grpc INTERFACE)
if(RAILHEAD_SANITIZE STREQUAL thread)
  target_link_options(railhead_grpc INTERFACE "LINKER:--version-script=${CMAKE_SOURCE_DIR}/cmake/tsan.map")
endif()
set(_grpc_archives "")
_railhead_archive(_grpcxx grpc++_unsecure)
_railhead_archive(_grpc grpc_unsecure)
_railhead_archive(_gpr gpr)
_railhead_archive(_protobuf protobuf-lite)
if(RAILHEAD_GRPC_STATIC AND _grpcxx AND _grpc AND _gpr AND _protobuf)
  set(_grpc_archives ${_grpcxx} ${_grpc} ${_gpr} ${_protobuf})
  # What pkg-config names beyond those (Abseil), and what gRPC uses without naming it there. A
  # library with no archive is taken shared; one this gRPC version does not have is left out.
  set(_wanted ${RAILHEAD_GRPC_PC_STATIC_LIBRARIES})
  list(APPEND _wanted upb address_sorting re2 cares z)
  list(REMOVE_DUPLICATES _wanted)
  list(REMOVE_ITEM _wanted grpc++_unsecure grpc_unsecure gpr protobuf protobuf-lite
    atomic rt dl m pthread)
  foreach(_name IN LISTS _wanted)
    _railhead_archive(_archive ${_name})
    if(_archive)
      list(APPEND _grpc_archives ${_archive})
    else()
      find_library(_railhead_shared_${_name} NAMES ${_name})
      mark_as_advanced(_railhead_shared_${_name})
      if(_railhead_shared_${_name})
        list(APPEND _grpc_archives ${_railhead_shared_${_name}})
      endif()
    endif()
  endforeach()
  # The archives refer to one another in circles.
  target_link_libraries(railhead_grpc INTERFACE
    -Wl,--start-group ${_grpc_archives} -Wl,--end-group Threads::Threads ${CMAKE_DL_LIBS} rt)
  message(STATUS "gRPC ${RAILHEAD_GRPC_PC_VERSION}: static")
else()
  find_library(RAILHEAD_PROTOBUF_LITE protobuf-lite REQUIRED)
  target_link_libraries(railhead_grpc INTERFACE
    ${RAILHEAD_GRPC_PC_LINK_LIBRARIES} ${RAILHEAD_PROTOBUF_LITE} Threads::Threads)
  message(STATUS "gRPC ${RAILHEAD_GRPC_PC_VERSION}: shared")
endif()

# railhead_protocol(NAME a.proto ...): generated messages and services as target railhead_NAME.
# Their headers are visible to targets that link it, and to nobody else.
function(railhead_protocol name)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${folder})
  set(sources "")
  foreach(proto IN LISTS ARGN)
    get_filename_component(stem ${proto} NAME_WE)
    get_filename_component(directory ${CMAKE_CURRENT_SOURCE_DIR}/${proto} DIRECTORY)
    set(outputs ${folder}/${stem}.pb.cc ${folder}/${stem}.pb.h
      ${folder}/${stem}.grpc.pb.cc ${folder}/${stem}.grpc.pb.h)
    add_custom_command(OUTPUT ${outputs}
      COMMAND ${RAILHEAD_PROTOC} --proto_path=${directory} --cpp_out=${folder}
        --grpc_out=${folder} --plugin=protoc-gen-grpc=${RAILHEAD_GRPC_PLUGIN}
        ${CMAKE_CURRENT_SOURCE_DIR}/${proto}
      DEPENDS ${proto} VERBATIM)
    list(APPEND sources ${outputs})
  endforeach()
  add_library(railhead_${name} STATIC ${sources})
  # Not our text: no warnings, here or in who includes it.
  target_compile_options(railhead_${name} PRIVATE -w -ffunction-sections -fdata-sections
    -fvisibility=hidden)
  if(RAILHEAD_SANITIZE)
    target_compile_options(railhead_${name} PRIVATE -fsanitize=${RAILHEAD_SANITIZE}
      -fno-omit-frame-pointer)
  endif()
  target_include_directories(railhead_${name} SYSTEM PUBLIC ${folder})
  target_link_libraries(railhead_${name} PUBLIC railhead_grpc)
endfunction()
