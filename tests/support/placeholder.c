typedef int placeholder_type;
