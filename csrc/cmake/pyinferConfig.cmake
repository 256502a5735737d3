# find_package(pyinfer), then target_link_libraries(program PRIVATE pyinfer::pyinfer)
get_filename_component(_pyinfer_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET pyinfer::pyinfer)
  add_library(pyinfer::pyinfer SHARED IMPORTED)
  set_target_properties(pyinfer::pyinfer PROPERTIES
    IMPORTED_LOCATION "${_pyinfer_prefix}/lib/libpyinfer.so"
    IMPORTED_SONAME "libpyinfer.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_pyinfer_prefix}/include")
endif()
unset(_pyinfer_prefix)
