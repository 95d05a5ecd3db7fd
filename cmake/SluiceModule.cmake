# Warnings, hardening and sanitizers once, and one call for a module:
#   sluice_module(NAME DEPENDS lower_module lib ...)
# Every .c below the module's folder belongs to it. DEPENDS is the layering: a
# module sees exactly what it names.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

add_library(sluice_flags INTERFACE)
target_compile_definitions(sluice_flags INTERFACE _GNU_SOURCE SLUICE_VERSION="${PROJECT_VERSION}")
target_include_directories(sluice_flags INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(sluice_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wvla -Wwrite-strings -Wundef -Wformat=2 -Wimplicit-fallthrough
  -Werror=format-security -Werror=implicit -Werror=incompatible-pointer-types
  -Werror=int-conversion $<$<BOOL:${SLUICE_WERROR}>:-Werror>)

# The OpenSSF compiler hardening guide (2026-06-30). A compiler that lacks a flag
# builds without it: gcc 12 and clang 14 each know a different part of the list.
set(hardening
  -fstack-clash-protection -fstack-protector-strong -fcf-protection=full
  -fno-delete-null-pointer-checks -fno-strict-overflow -fno-strict-aliasing
  -ftrivial-auto-var-init=zero -Wtrampolines -Wbidi-chars=any)
foreach(flag IN LISTS hardening)
  string(MAKE_C_IDENTIFIER "HAS${flag}" has)
  check_c_compiler_flag("${flag}" ${has})
  if(${has})
    target_compile_options(sluice_flags INTERFACE "${flag}")
  endif()
endforeach()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
target_link_options(sluice_flags INTERFACE
  -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,nodlopen,--as-needed)
if(SLUICE_SANITIZE)
  target_compile_options(sluice_flags INTERFACE
    -fsanitize=${SLUICE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(sluice_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()

function(sluice_module name)
  cmake_parse_arguments(PARSE_ARGV 1 M "" "" "DEPENDS")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.c")
  list(FILTER sources EXCLUDE REGEX "/api/main\\.c$")
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC ${M_DEPENDS} PRIVATE sluice_flags)
endfunction()
