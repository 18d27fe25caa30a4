# The base image of Dockerfile, in the form that Dependabot updates. Nothing builds this file.
FROM public.ecr.aws/lambda/python:3.13@sha256:5dd3e2c637709e8437ef7b2ea42ebeee9824e62d2f6ba7afe788a4fd6e2a96f0
