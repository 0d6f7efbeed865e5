# Flags of XLA for tests, whose programs are small: most of the time goes into compiling them. Without the
# emitters of fusions it takes a third less.
QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false"
)
