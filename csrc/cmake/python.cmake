# pyinfer._core: a client of the public header like any other.
find_package(Python3 3.10 REQUIRED COMPONENTS Interpreter Development.Module NumPy)
file(GLOB core_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/python/*.c)
if(core_sources)
  Python3_add_library(_core MODULE WITH_SOABI ${core_sources})
  target_include_directories(_core PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_include_directories(_core SYSTEM PRIVATE ${Python3_NumPy_INCLUDE_DIRS})
  target_compile_definitions(_core PRIVATE NPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION
    NPY_TARGET_VERSION=NPY_1_23_API_VERSION)  # built with NumPy 2, runs on 1.26 too
  target_link_libraries(_core PRIVATE pyinfer_flags pyinfer)
  target_link_options(_core PRIVATE -Wl,-z,relro,-z,now -Wl,--as-needed)
  set_target_properties(_core PROPERTIES INSTALL_RPATH "$ORIGIN/lib")
  install(TARGETS _core LIBRARY DESTINATION .)
endif()
