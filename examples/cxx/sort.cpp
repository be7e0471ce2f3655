// A distributed sort: odd-even transposition of blocks. Neighbours swap their blocks, the left
// one keeps the smaller half; after as many rounds as there are ranks, all is in order.
#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <sstream>
#include <vector>

namespace {

using Block = std::vector<std::uint32_t>;

constexpr int block_size = 1000;

// The same pseudo-random numbers on every machine: a linear congruential generator per rank.
Block make_block(int rank)
{
    Block block(block_size);
    std::uint32_t state = static_cast<std::uint32_t>(rank) + 1;
    for (auto &number : block) {
        state = state * 1664525u + 1013904223u;
        number = state >> 8;
    }
    return block;
}

Block swapped_with(const Block &mine, int partner)
{
    Block theirs(mine.size());
    const int count = static_cast<int>(mine.size());
    MPI_Sendrecv(mine.data(), count, MPI_UINT32_T, partner, 0,
                 theirs.data(), count, MPI_UINT32_T, partner, 0,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return theirs;
}

Block half_of_both(const Block &mine, const Block &theirs, bool lower)
{
    Block both;
    both.reserve(mine.size() + theirs.size());
    std::merge(mine.begin(), mine.end(), theirs.begin(), theirs.end(), std::back_inserter(both));
    const auto middle = both.begin() + block_size;
    return lower ? Block(both.begin(), middle) : Block(middle, both.end());
}

void sort_over_ranks(Block &block, int rank, int size)
{
    std::sort(block.begin(), block.end());
    for (int round = 0; round < size; ++round) {
        const bool lower = rank % 2 == round % 2;
        const int partner = lower ? rank + 1 : rank - 1;
        if (partner >= 0 && partner < size)
            block = half_of_both(block, swapped_with(block, partner), lower);
    }
}

}  // namespace

int main(int argc, char **argv)
{
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);

    Block block = make_block(rank);
    sort_over_ranks(block, rank, size);

    // One write a line: the lines of several ranks must not mix.
    std::ostringstream line;
    line << "rank " << rank << " of " << size << " holds " << block.front() << " to "
         << block.back() << '\n';
    std::cout << line.str() << std::flush;
    MPI_Finalize();
}
