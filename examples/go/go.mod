module example.com/edgeward-example

go 1.25
