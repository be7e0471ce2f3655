import java.util.Comparator;
import java.util.stream.LongStream;

/** Which start below a limit takes the most Collatz steps to reach 1? */
public final class Collatz {
    private static final long LIMIT = 30_000;

    private Collatz() {
    }

    static int steps(long start) {
        int steps = 0;
        for (long n = start; n != 1; n = n % 2 == 0 ? n / 2 : 3 * n + 1) {
            steps++;
        }
        return steps;
    }

    public static void main(String[] args) {
        long longest = LongStream.range(1, LIMIT).boxed()
            .max(Comparator.comparingInt(Collatz::steps)).orElseThrow();
        System.out.println("below " + LIMIT + ", " + longest + " takes the most steps: "
            + steps(longest));
    }
}
