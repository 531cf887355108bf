
/** Run the kernel in so many clusters; 0 where every thread came to an end. */
extern "C" int emulate(const Given* given, int clusters, int blocks, int threads, int shared,
                       unsigned seed) {
    emulated::lot.seed(seed);
    emulated::clusters = clusters;
    for (int c = 0; c < clusters; ++c)
        if (!emulated::run(c, blocks, threads, shared, [given] { KERNEL(*given); })) return 1;
    return 0;
}
