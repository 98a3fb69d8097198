module github.com/cromt/cromt

go 1.26.8
