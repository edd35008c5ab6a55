// Package top is the terminal view of weir: what the desk tells each second as tables and graphs, which a person sorts, filters and looks
// into, and from which servers are drained and apps reloaded. It is a client of the desk and knows weir by its pictures alone. What is shown
// is made by functions of values, without I/O or a clock (model.go, frame.go); conn.go speaks to the desk and run.go to the terminal.
package top
