module goloclient

go 1.22
