module spread

go 1.22
