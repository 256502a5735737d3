# What a user gets, under any prefix (in the wheel: the package's folder). Everything in it is relocatable.
include(CMakePackageConfigHelpers)
install(TARGETS pyinfer LIBRARY DESTINATION lib)
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/capi/pyinfer.h)
  install(FILES capi/pyinfer.h DESTINATION include)
endif()
configure_file(cmake/pyinfer.pc.in ${CMAKE_CURRENT_BINARY_DIR}/pyinfer.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pyinfer.pc DESTINATION lib/pkgconfig)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/pyinferConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/pyinferConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/pyinferConfigVersion.cmake
  DESTINATION lib/cmake/pyinfer)
