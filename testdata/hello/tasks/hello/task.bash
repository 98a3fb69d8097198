echo "Hello worker " $(config worker)!
