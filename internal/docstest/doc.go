// Package docstest holds tests of the project as a whole: which package may
// import which, and that the documents speak of what is there. It has no code.
package docstest
