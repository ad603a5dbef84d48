module numbered

go 1.22
