// Package facts tells of the machine and of weir's processes: processors, memory, disks, networks, descriptors, and in words what a person
// should know of them. It reads /proc as one sample a second, and what it says is a function of samples. Where there is no /proc it says nothing.
//
// Reading is by hand, into one buffer: a library's structures for each file would cost more than all the rest of the desk's second.
package facts
