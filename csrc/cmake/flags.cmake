# pyinfer_flags: how every C file of ours is compiled.
add_library(pyinfer_flags INTERFACE)
target_compile_options(pyinfer_flags INTERFACE -fvisibility=hidden -ffp-contract=off -fno-math-errno
  -Wall -Wextra -Wconversion -Wshadow -Wundef -Wvla -Walloca -Wmissing-prototypes -Wstrict-prototypes -Wwrite-strings
  $<$<BOOL:${PYINFER_WERROR}>:-Werror>)

if(PYINFER_PARANOID)
  target_compile_definitions(pyinfer_flags INTERFACE PI_PARANOID=1)
  target_compile_options(pyinfer_flags INTERFACE -UNDEBUG -g)
endif()

if(PYINFER_SANITIZE)  # -g1: lines and functions; to follow variables takes the compiler half as long again
  target_compile_options(pyinfer_flags INTERFACE -fsanitize=${PYINFER_SANITIZE} -fno-omit-frame-pointer -O1 -g1 -UNDEBUG)
  target_link_options(pyinfer_flags INTERFACE -fsanitize=${PYINFER_SANITIZE})
  if(PYINFER_SANITIZE MATCHES "undefined")
    target_compile_options(pyinfer_flags INTERFACE -fsanitize=float-cast-overflow -fno-sanitize-recover=all)
  endif()
else()  # a sanitizer's frames are larger
  target_compile_options(pyinfer_flags INTERFACE -Wframe-larger-than=8192)
endif()

if(PYINFER_COVERAGE)  # -O1 keeps the lines apart; counters of several threads are exact only if they are atomic
  target_compile_options(pyinfer_flags INTERFACE --coverage -O1 -fprofile-abs-path -fprofile-update=prefer-atomic)
  target_link_options(pyinfer_flags INTERFACE --coverage)
endif()
