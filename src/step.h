#include <stdio.h>
#include <windows.h>
extern LARGE_INTEGER step_last;
static inline void step_at(const char *name){ LARGE_INTEGER n,f; QueryPerformanceCounter(&n); QueryPerformanceFrequency(&f);
 fprintf(stderr,"STEP %s %lld\n",name,(long long)((n.QuadPart-step_last.QuadPart)*1000000/f.QuadPart)); QueryPerformanceCounter(&step_last);}
#define STEP(n) step_at(n)
