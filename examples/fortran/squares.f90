! The ranks share 1..n; a prefix sum tells each the sum of squares up to the end of its part.
program squares
  use mpi
  implicit none
  integer, parameter :: wide = selected_int_kind(18)
  integer :: rank, ranks, n, first, last, i, ierr
  integer(wide) :: part, through

  call MPI_Init(ierr)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, ierr)
  call MPI_Comm_size(MPI_COMM_WORLD, ranks, ierr)

  n = 0
  if (rank == 0) n = 100003
  call MPI_Bcast(n, 1, MPI_INTEGER, 0, MPI_COMM_WORLD, ierr)

  first = int(int(rank, wide) * n / ranks) + 1
  last = int(int(rank + 1, wide) * n / ranks)
  part = 0
  do i = first, last
    part = part + int(i, wide)**2
  end do

  call MPI_Scan(part, through, 1, MPI_INTEGER8, MPI_SUM, MPI_COMM_WORLD, ierr)
  write (*, '(a,i0,a,i0,a,i0,a,i0)') 'rank ', rank, ' of ', ranks, ': squares of 1 to ', last, &
    ' add up to ', through
  call MPI_Finalize(ierr)
end program squares
