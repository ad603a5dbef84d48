module crowd

go 1.22
