module loadtest

go 1.19
