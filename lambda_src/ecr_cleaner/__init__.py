"""Delete old, unused container images from Amazon ECR."""
