// The compiler accepts functions without a body, as in direct_linux.go, if there is a
// file in assembly.
