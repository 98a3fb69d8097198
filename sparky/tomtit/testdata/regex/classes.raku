# Prints for each class of characters given the ranges of code points in it.
use MONKEY-SEE-NO-EVAL;
for @*ARGS -> $class {
    my $regex = EVAL "regex \{ ^ $class \$ \}";
    my $start = -1;
    my @ranges;
    for 0 .. 0x10000 -> $c {
        next if 0xD800 <= $c <= 0xDFFF;
        my $in = so chr($c) ~~ $regex;
        $start = $c if $in && $start < 0;
        if !$in && $start >= 0 {
            @ranges.push("{$start.base(16)}-{($c - 1).base(16)}");
            $start = -1;
        }
    }
    say "$class\t@ranges.join(',')";
}
