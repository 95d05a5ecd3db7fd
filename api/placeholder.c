/* Keeps the target until its first source lands. */
typedef int placeholder_type;
