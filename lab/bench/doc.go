// Package bench prints what this project costs: one table of ratios, each measure
// beside its floor, which is the same work without this project, done in the same
// process, against the same servers, over the same connections. It is a test, TestTable,
// that "make bench" runs and all others skip.
//
// Measure and floor take turns in small batches, so that what else the machine does
// hits both alike. The ratio is that of the fastest tenths, which were disturbed
// least; the table also gives the quartiles over the pairs, and the ratio of the
// processor time of all batches. A goal that is missed is printed as missed and is
// no failure: a row fails only where something could not be measured.
package bench
