# Flags of XLA for tests, whose programs are small: most of the time goes into compiling them. Compiling a
# training step takes 6 CPU seconds with all of them and 45 without, but a step takes twice as long. Without
# the emitters of fusions it takes a third less, and in one part, which one core compiles, a quarter.
QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1"
)
