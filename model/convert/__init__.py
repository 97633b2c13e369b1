"""The published weights become a checkpoint folder of ours."""
