// Package textfile reads the files of operators within bounds: as a whole, or line by line with errors that say where. It knows no format,
// and writes nothing.
//
// It imports the standard library only.
package textfile
