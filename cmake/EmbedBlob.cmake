# Puts binary files of megabytes into a target: embed_blobs(TARGET PREFIX FILE...) gives
# TARGET, for every FILE, `const unsigned char PREFIX_name[]` and `PREFIX_name_end[]`,
# declared in PREFIX_blobs.h. The assembler's .incbin takes milliseconds where an array in C
# (EmbedFile.cmake) takes the compiler seconds.
function(embed_blobs target prefix)
  set(dir "${CMAKE_CURRENT_BINARY_DIR}/embedded")
  string(TOUPPER "${prefix}_BLOBS_H" guard)
  set(header "#ifndef ${guard}\n#define ${guard}\n\n")
  foreach(file IN LISTS ARGN)
    get_filename_component(name "${file}" NAME_WE)
    string(MAKE_C_IDENTIFIER "${prefix}_${name}" symbol)
    set(path "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
    set(out "${dir}/${symbol}.S")
    # The note keeps the stack of the whole program from becoming executable.
    file(CONFIGURE OUTPUT "${out}" @ONLY CONTENT "\
.section .rodata.${symbol}, \"a\"
.balign 16
.global ${symbol}, ${symbol}_end
.hidden ${symbol}, ${symbol}_end
${symbol}:
.incbin \"${path}\"
${symbol}_end:
.section .note.GNU-stack, \"\", %progbits
")
    set_source_files_properties("${out}" PROPERTIES OBJECT_DEPENDS "${path}")
    target_sources(${target} PRIVATE "${out}")
    string(APPEND header
      "extern const unsigned char ${symbol}[];\nextern const unsigned char ${symbol}_end[];\n")
  endforeach()
  file(CONFIGURE OUTPUT "${dir}/${prefix}_blobs.h" CONTENT "${header}\n#endif\n" @ONLY)
  target_include_directories(${target} PRIVATE "${dir}")
endfunction()
